# Makes a Seurat object of the files beside this script: counts, cells with clusters and cell types, coordinates.
#   Rscript seurat.R [object.rds]
library(Seurat)

arguments <- commandArgs(trailingOnly = FALSE)
script <- sub("^--file=", "", grep("^--file=", arguments, value = TRUE))
folder <- if (length(script)) dirname(script[1]) else "."
target <- commandArgs(trailingOnly = TRUE)

counts <- Read10X(folder, gene.column = 2)
cells <- read.csv(file.path(folder, "metadata.csv"), row.names = 1, check.names = FALSE, colClasses = c(barcode = "character", cluster = "character"))
stopifnot(identical(rownames(cells), colnames(counts)))
object <- CreateSeuratObject(counts, meta.data = cells, project = "cicl")
Idents(object) <- factor(cells$cluster, levels = unique(cells$cluster[order(as.integer(cells$cluster))]))

for (name in c("cicl", "umap", "tsne")) {
  file <- file.path(folder, paste0(name, ".csv"))
  if (file.exists(file)) {
    values <- as.matrix(read.csv(file, row.names = 1, check.names = FALSE, colClasses = c(barcode = "character")))
    key <- paste0(c(cicl = "CICL", umap = "UMAP", tsne = "tSNE")[[name]], "_")
    colnames(values) <- paste0(key, seq_len(ncol(values)))
    object[[name]] <- CreateDimReducObject(values, key = key, assay = "RNA")
  }
}
object <- NormalizeData(object, verbose = FALSE)
if (length(target)) saveRDS(object, target[1])
