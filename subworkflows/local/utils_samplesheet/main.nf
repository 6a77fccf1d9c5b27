//
// The samplesheet: one row for each sample, read and checked without opening the data
//

include { suggestion } from '../utils_schema'

// The samples of a samplesheet, [ meta, path ] for each row; `defaults` holds n_clusters, label_col, batch_col, counts_layer
// of rows that do not give them. Stops with all that is wrong with the sheet, one sentence each.
def readSamplesheet(sheet, defaults) {
    def table = readTable(sheet)
    def errors = headerErrors(table.header, sheet.name)
    if (errors) {
        stop(errors)
    }
    headerWarnings(table.header, sheet.name).each { text -> log.warn(text) }

    def rows = table.rows.collect { row -> row + [values: [table.header, row.cells].transpose().collectEntries()] }
    def samples = rows.collect { row -> row + [path: resolveInput(row.values.input, sheet)] }
    def messages = rows ? samples.collectMany { row -> rowErrors(row, table.header.size(), sheet.name) } + duplicateErrors(rows, sheet.name)
        : ["${sheet.name} has a header but no samples: add a row for each sample."]
    if (messages) {
        stop(messages)
    }
    return samples.collect { row ->
        def settings = ['n_clusters', 'label_col', 'batch_col', 'counts_layer']
            .collectEntries { column -> [column, row.values[column] ?: defaults[column]?.toString()] }
            .findAll { _column, value -> value }
        [[id: row.values.sample] + settings, row.path]
    }
}

// Header and rows, each row with its number in the file; any of the line ends, a BOM, quotes, and ; or tab are accepted
def readTable(sheet) {
    if (!sheet.exists()) {
        stop(["The samplesheet '${sheet}' does not exist: check --input."])
    }
    if (sheet.isDirectory()) {
        stop(["The samplesheet '${sheet}' is a folder: give the CSV file with --input."])
    }
    def text = sheet.getText('UTF-8').replace('\uFEFF', '')
    if (text.startsWith('PK') || text.contains('\u0000')) {
        stop(["The samplesheet ${sheet.name} is not a text file: save it as CSV (UTF-8) in your spreadsheet program."])
    }
    def lines = text.split(/\r\n|\n|\r/)
        .toList()
        .withIndex()
        .collect { line, i -> [number: i + 1, line: line] }
        .findAll { row -> row.line.replaceAll(/[\s,;"]/, '') }
    if (!lines) {
        stop(["The samplesheet ${sheet.name} is empty: give it the header sample,input and a row for each sample."])
    }
    def first = lines.first().line
    def separator = sheet.name.endsWith('.tsv') || first.contains('\t') ? '\t' : first.contains(';') && !first.contains(',') ? ';' : ','
    def rows = lines.collect { row -> [number: row.number, cells: splitLine(row.line, separator)] }
    return [header: rows.first().cells, rows: rows.drop(1).collect { row -> padded(row, rows.first().cells.size()) }]
}

// The cells of a line; quotes around a cell may hold separators, and two quotes stand for one
def splitLine(line, separator) {
    def cell = 'SEP(?:\\s*"((?:[^"]|"")*)"\\s*|([^SEP]*))(?=SEP|$)'.replace('SEP', separator)
    return ((separator + line) =~ cell)
        .collect { _all, quoted, plain -> (quoted != null ? quoted.replace('""', '"') : plain).trim() }
}

// Spreadsheets leave out empty cells at a row's end, or add some
def padded(row, width) {
    def cells = row.cells.size() > width && row.cells.drop(width).every { cell -> !cell } ? row.cells.take(width) : row.cells
    return row + [cells: cells + [''] * Math.max(0, width - cells.size())]
}

def headerErrors(header, name) {
    def duplicates = header.findAll { column -> column && header.count(column) > 1 }.unique()
    def missing = ['sample', 'input'].findAll { column -> !(column in header) }
    return missing.collect { column ->
        "${name} has no column '${column}': its header is '${header.join(',')}', and must hold sample and input."
    } + duplicates.collect { column -> "${name} has the column '${column}' twice: keep one of them." }
}

def headerWarnings(header, name) {
    def known = ['sample', 'input', 'n_clusters', 'label_col', 'batch_col', 'counts_layer']
    return header
        .findAll { column -> column && !(column in known) }
        .collect { column -> "${name}: the column '${column}' is not used${suggestion(column, known - header)}" }
}

def rowErrors(row, width, name) {
    def place = "${name}, row ${row.number}"
    def sample = row.values.sample
    def errors = []
    if (row.cells.size() > width) {
        return ["${place} has ${row.cells.size()} cells, but the header has ${width}: put quotes around cells that hold the separator."]
    }
    if (!sample) {
        errors += ["${place}, column sample: the cell is empty; give the sample a name."]
    }
    else if (!sample.matches(/[A-Za-z0-9_][A-Za-z0-9_.-]*/)) {
        errors += ["${place}, column sample: '${sample}' cannot name files; use only letters, digits, '_', '.' and '-', and start with a letter, a digit or '_'."]
    }
    else if (sample in ['multiqc', 'pipeline_info', 'report']) {
        errors += ["${place}, column sample: '${sample}' is the name of a folder of the run; give the sample another name."]
    }
    if (!row.values.input) {
        errors += ["${place}, column input: the cell is empty; give the path of the sample's counts."]
    }
    else if (!row.path) {
        errors += ["${place}, column input: '${row.values.input}' does not exist, neither beside the samplesheet nor in the folder of the launch; correct the path."]
    }
    else if (row.values.input.matches('.*[\\x24{}\\p{Cntrl}].*') || row.path.name.startsWith('-')) {
        errors += ["${place}, column input: '${row.values.input}' cannot be staged, for it holds one of \$ { } or starts with '-'; rename the file or folder, or give a link to it."]
    }
    if (row.values.n_clusters && !row.values.n_clusters.matches(/auto|[1-9][0-9]*/)) {
        errors += ["${place}, column n_clusters: '${row.values.n_clusters}' is neither auto nor a whole number from 1 up; correct it, or leave the cell empty."]
    }
    return errors
}

def duplicateErrors(rows, name) {
    return rows
        .findAll { row -> row.values.sample }
        .groupBy { row -> row.values.sample }
        .findAll { _sample, same -> same.size() > 1 }
        .collect { sample, same ->
            "${name}, rows ${same.collect { row -> row.number }.join(' and ')}, column sample: '${sample}' is there ${same.size()} times; give each sample its own name."
        }
}

// The path of an input: as it is if absolute, otherwise beside the samplesheet or in the launch folder; null if it does not exist
def resolveInput(input, sheet) {
    if (!input) {
        return null
    }
    def candidates = input.startsWith('/') || input.contains('://')
        ? [file(input, glob: false)]
        : [sheet.parent.resolve(input), file(input, glob: false)]
    return candidates.find { path -> path.exists() }
}

// Stops the run with the first of the messages
def stop(messages) {
    def shown = messages.take(20) + (messages.size() > 20 ? ["... and ${messages.size() - 20} more errors."] : [])
    error(shown.collect { text -> "ERROR: ${text}" }.join('\n'))
}
