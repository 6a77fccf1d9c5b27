# SIMLR on log10(1 + counts / size factor), k given; its form for large data above 1,500 cells. See exchange.R.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "exchange.R"))
suppressMessages({
    library(Matrix)
    library(SIMLR)
})
start <- proc.time()[["elapsed"]]
arguments <- as.integer(commandArgs(TRUE))
k <- arguments[1]
set.seed(arguments[2])
given <- read_exchange()
x <- as.matrix(log10(1 + normalised(given$counts)))

n <- ncol(x)
if (n <= 1500) {
    found <- SIMLR(X = x, c = k, cores.ratio = 0)
} else {
    # After the clusters it makes a t-SNE for a plot, which nobody looks at here and which has crashed.
    if (exists("Rtsne", envir = asNamespace("SIMLR"), inherits = FALSE)) {
        assignInNamespace("Rtsne", function(...) list(Y = NULL), "SIMLR")
    }
    found <- SIMLR_Large_Scale(X = x, c = k, k = 10, kk = min(100, n - 1))
}
form <- if (n <= 1500) "exact" else "large scale"
leave(found$y$cluster, start, paste0("SIMLR ", packageVersion("SIMLR"), " (", form, ")"))
