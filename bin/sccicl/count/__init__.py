"""Before the counts: FASTQ check, cell calling, records of the reads."""
