# Seurat with its defaults; where k is given, at the resolution that gives k clusters or comes nearest. See exchange.R.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "exchange.R"))
suppressMessages({
    library(Matrix)
    library(Seurat)
})
start <- proc.time()[["elapsed"]]
arguments <- as.integer(commandArgs(TRUE))
k <- arguments[1]
seed <- arguments[2]
given <- read_exchange()

cells <- CreateSeuratObject(given$counts)
cells <- NormalizeData(cells, verbose = FALSE)
cells <- FindVariableFeatures(cells, nfeatures = 2000, verbose = FALSE)
cells <- ScaleData(cells, verbose = FALSE)
components <- min(50, ncol(cells) - 1, length(VariableFeatures(cells)) - 1)
cells <- suppressWarnings(RunPCA(cells, npcs = components, seed.use = seed, verbose = FALSE))
cells <- FindNeighbors(cells, dims = seq_len(min(10, components)), verbose = FALSE)

# NULL where every cell is a cluster: at such a resolution Seurat stops with an error when it looks for neighbours
at <- function(resolution) {
    found <- try(FindClusters(cells, resolution = resolution, random.seed = seed, verbose = FALSE), silent = TRUE)
    if (inherits(found, "try-error")) NULL else as.character(Idents(found))
}

if (k == 0) {
    labels <- at(0.8)
} else {
    low <- log(1e-3)
    high <- log(30)
    labels <- NULL
    for (step in 1:25) {
        middle <- (low + high) / 2
        found <- at(exp(middle))
        number <- if (is.null(found)) Inf else length(unique(found))
        if (is.finite(number) && (is.null(labels) || abs(number - k) < abs(length(unique(labels)) - k))) {
            labels <- found
        }
        if (number == k) break
        if (number < k) low <- middle else high <- middle
    }
}
if (is.null(labels)) stop("FindClusters gave no clusters")
leave(labels, start, paste("Seurat", packageVersion("Seurat")))
