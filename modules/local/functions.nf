//
// What several modules need
//

// A word for the shell: names of files, columns and layers may hold blanks and quotes
def quoted(value) {
    return "'" + value.toString().replace("'", "'\\''") + "'"
}

// Size of a file, or of all files below a folder, in MB
def megabytes(path) {
    def files = path.isDirectory() ? path.listFiles().toList() : [path]
    return files.sum(0) { file -> file.isDirectory() ? megabytes(file) : file.size() / 1e6 }
}
