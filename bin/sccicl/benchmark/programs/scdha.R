# scDHA on log2(1 + counts), k given or found (2 to 10). See exchange.R.

here <- dirname(sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE)))
source(file.path(here, "exchange.R"))
suppressMessages({
    library(Matrix)
    library(scDHA)
})
start <- proc.time()[["elapsed"]]
arguments <- as.integer(commandArgs(TRUE))
given <- read_exchange()
x <- given$counts
x@x <- log2(x@x + 1)

k <- if (arguments[1] == 0) NULL else arguments[1]
found <- scDHA(t(x), k = k, sparse = TRUE, ncores = 2L, seed = arguments[2])
leave(found$cluster, start, paste("scDHA", packageVersion("scDHA")))
