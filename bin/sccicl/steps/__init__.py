"""One file for each step of the pipeline, which is a command and a Nextflow process."""
