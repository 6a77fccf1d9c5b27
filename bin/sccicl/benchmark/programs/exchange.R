# What the R programs share: reading what they are given, and leaving what they found. See program.py.

# Genes x cells as a sparse matrix with names, and the options as a list
read_exchange <- function() {
    counts <- as(Matrix::readMM("counts.mtx"), "CsparseMatrix")
    # R's names of genes must differ, and Seurat's have no '_'
    genes <- make.unique(gsub("_", "-", readLines("genes.tsv")))
    dimnames(counts) <- list(genes, readLines("cells.tsv"))
    table <- read.delim("options.tsv", header = FALSE, quote = "", colClasses = "character")
    list(counts = counts, options = setNames(as.list(table[[2]]), table[[1]]))
}

# Counts of each cell divided by its size factor: total / median of all totals
normalised <- function(counts) {
    total <- Matrix::colSums(counts)
    counts %*% Matrix::Diagonal(x = median(total) / total)
}

leave <- function(labels, start, version) {
    writeLines(as.character(labels), "clusters.txt")
    writeLines(format(proc.time()[["elapsed"]] - start, digits = 6), "seconds.txt")
    writeLines(paste0(version, ", R ", getRversion()), "version.txt")
}
