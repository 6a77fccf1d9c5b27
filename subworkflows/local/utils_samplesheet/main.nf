//
// The samplesheet: one row for each sample, read and checked without opening the data, by the rules of assets/schema_input.json
//

include { expectation ; suggestion } from '../utils_schema'

// The samples of a samplesheet, [ meta, path ] for each row with counts, [ meta, [ [ fastq_1, fastq_2 ], ... ] ] for the rows of
// a sample with reads, which are its lanes. `defaults` holds n_clusters, label_col, batch_col, counts_layer, cells_in of rows that do
// not give them, and whether to `join` all samples, `columns` the rules. Stops with all that is wrong with the sheet, one sentence each.
def readSamplesheet(sheet, defaults, columns) {
    def table = readTable(sheet, columns)
    def errors = headerErrors(table.header, sheet.name)
    if (errors) {
        stop(errors)
    }
    headerWarnings(table.header, sheet.name, columns).each { text -> log.warn(text) }

    def rows = table.rows.collect { row -> row + [values: [table.header, row.cells].transpose().collectEntries()] }
    def samples = rows.collect { row -> row + [paths: inputColumns(columns).collectEntries { column -> [column, resolveInput(row.values[column], sheet)] }] }
    def messages = rows ? samples.collectMany { row -> rowErrors(row, table.header.size(), sheet.name, columns) } + sampleErrors(rows, sheet.name, columns, defaults.join)
        : ["${sheet.name} has a header but no samples: add a row for each sample."]
    if (messages) {
        stop(messages)
    }
    def of_group = rowsOfGroups(rows, defaults.join)
        .collectMany { _group, same -> same.collect { row -> [row.values.sample, same] } }
        .collectEntries()
    return samples
        .groupBy { row -> row.values.sample }
        .collect { sample, lanes ->
            // Counts that are made here have no column or layer that a parameter for all samples could name.
            def names = lanes.first().paths.input ? ['n_clusters', 'label_col', 'batch_col', 'counts_layer', 'cells_in'] : ['n_clusters']
            def fallback = defaults.findAll { name, _value -> name in names }
            def settings = settingColumns(columns)
                .collectEntries { column -> [column, column in groupSettings() ? lanes + (of_group[sample] ?: []) : lanes] }
                .collectEntries { column, from -> [column, from.findResult { row -> row.values[column] ?: null } ?: fallback[column]?.toString()] }
                .collectEntries { column, value -> [column, columns[column].type == 'boolean' ? value == 'true' : value] }
                .findAll { _column, value -> value }
            def reads = lanes.collect { row -> [row.paths.fastq_1, row.paths.fastq_2] }
            [[id: sample] + settings, lanes.first().paths.input ?: reads]
        }
}

// Header and rows, each row with its place in the file; any of the line ends, a BOM, quotes, ; or tab, capital letters in
// the names of the columns and comments are accepted, and a list of samples in YAML or JSON
def readTable(sheet, columns) {
    if (!sheet.exists()) {
        stop(["The samplesheet '${sheet}' does not exist: check --input."])
    }
    if (sheet.isDirectory()) {
        stop(["The samplesheet '${sheet}' is a folder: give the CSV file with --input."])
    }
    if (sheet.name.toLowerCase() ==~ /.*\.(h5ad|h5|hdf5|loom|rds|mtx|h5mu|zarr)(\.gz|\.zip)?/) {
        stop(["'${sheet.name}' holds data and is no samplesheet: write a CSV with the header sample,input and the row name,${sheet.name}, and give that with --input."])
    }
    def text = textOf(sheet).replace('\uFEFF', '')
    if (text.startsWith('PK') || text.contains('\u0000')) {
        stop(["The samplesheet ${sheet.name} is not a text file: save it as CSV (UTF-8) in your spreadsheet program."])
    }
    def ending = sheet.name.toLowerCase().tokenize('.').last()
    if (ending in ['yml', 'yaml', 'json']) {
        return tableOf(ending == 'json' ? jsonSamples(text, sheet.name) : yamlSamples(text, sheet.name), sheet.name, columns)
    }
    def lines = text.split(/\r\n|\n|\r/)
        .toList()
        .withIndex()
        .collect { line, i -> [number: i + 1, kind: 'row', line: line] }
        .findAll { row -> row.line.replaceAll(/[\s,;"]/, '') && !row.line.startsWith('#') }
    if (!lines) {
        stop(["The samplesheet ${sheet.name} is empty: give it the header sample,input and a row for each sample."])
    }
    def first = lines.first().line
    def separator = sheet.name.endsWith('.tsv') || first.contains('\t') ? '\t' : first.contains(';') && !first.contains(',') ? ';' : ','
    def rows = lines.collect { row -> [number: row.number, kind: row.kind, cells: splitLine(row.line, separator)] }
    def header = rows.first().cells.collect { column -> columnName(column, columns) }
    return [header: header, rows: rows.drop(1).collect { row -> padded(row, rows.first().cells.size()) }]
}

def columnName(name, columns) {
    return name.toLowerCase() in columns.keySet() ? name.toLowerCase() : name
}

// Header and rows of a list of samples, each a list of [ name, value ]
def tableOf(samples, name, columns) {
    def named = samples.collect { sample -> sample.collect { key, value -> [columnName(key, columns), value] } }
    def header = named.collectMany { sample -> sample.collect { key, _value -> key } }.unique()
    def errors = named.withIndex().collectMany { sample, i ->
        def keys = sample.collect { key, _value -> key }
        keys.findAll { key -> keys.count(key) > 1 }
            .unique()
            .collect { key -> "${name}, entry ${i + 1} has '${key}' twice: keep one of them." } + sample
            .findAll { _key, value -> value == null }
            .collect { key, _value -> "${name}, entry ${i + 1}: '${key}' holds a list or a mapping; give one value." }
    }
    if (errors || !samples) {
        stop(errors ?: ["${name} has no samples: add an entry for each sample."])
    }
    def rows = named.withIndex().collect { sample, i ->
        def values = sample.collectEntries { key, value -> [key, value.trim()] }
        [number: i + 1, kind: 'entry', cells: header.collect { column -> values[column] ?: '' }]
    }
    return [header: header, rows: rows]
}

// A list of samples in YAML; values are taken as they are written, so that a sample 001 or 'no' keeps its name. Null where one is no text.
def yamlSamples(text, name) {
    def list = null
    try {
        list = new org.yaml.snakeyaml.Yaml().compose(new java.io.StringReader(text))
    }
    catch (org.yaml.snakeyaml.error.YAMLException e) {
        stop(["${name} cannot be read as YAML (${e.message.readLines().findAll { line -> line.trim() }*.trim().take(3).join(' ')}): correct it, or give a CSV."])
    }
    if (list !instanceof org.yaml.snakeyaml.nodes.SequenceNode || list.value.any { sample -> sample !instanceof org.yaml.snakeyaml.nodes.MappingNode }) {
        stop([noList(name, '- {sample: s1, input: s1.h5ad}')])
    }
    return list.value.collect { sample -> sample.value.collect { pair -> [scalar(pair.keyNode) ?: '', scalar(pair.valueNode)] } }
}

def scalar(node) {
    return node !instanceof org.yaml.snakeyaml.nodes.ScalarNode ? null : node.tag.value.endsWith(':null') ? '' : node.value
}

def jsonSamples(text, name) {
    def list = null
    try {
        list = new groovy.json.JsonSlurper().parseText(text)
    }
    catch (Exception e) {
        stop(["${name} cannot be read as JSON (${"${e.message}".readLines().first()}): correct it, or give a CSV."])
    }
    if (list !instanceof List || list.any { sample -> sample !instanceof Map }) {
        stop([noList(name, '[{"sample": "s1", "input": "s1.h5ad"}]')])
    }
    return list.collect { sample ->
        sample.collect { key, value -> [key, value instanceof List || value instanceof Map ? null : value == null ? '' : value.toString()] }
    }
}

def noList(name, example) {
    return "${name} is no list of samples: write it as ${example}, an entry for each sample, or give a CSV with the header sample,input."
}

// Spreadsheet programs save CSV in the encoding of the country if they are not asked for UTF-8
def textOf(sheet) {
    try {
        return sheet.getText('UTF-8')
    }
    catch (java.nio.charset.CharacterCodingException _error) {
        stop(["The samplesheet ${sheet.name} is not UTF-8: save it as CSV (UTF-8) in your spreadsheet program."])
    }
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
    def has_reads = header.any { column -> column in ['fastq_1', 'fastq_2'] }
    def needed = ['sample'] + (!has_reads ? ['input'] : 'input' in header ? [] : ['fastq_1', 'fastq_2'])
    def words = has_reads ? 'sample, fastq_1 and fastq_2' : 'sample and input'
    def missing = needed.findAll { column -> !(column in header) }
    return missing.collect { column ->
        "${name} has no column '${column}': its header is '${header.join(',')}', and must hold ${words}."
    } + duplicates.collect { column -> "${name} has the column '${column}' twice: keep one of them." }
}

def headerWarnings(header, name, columns) {
    def known = columns.keySet().toList()
    return header
        .findAll { column -> column && !(column in known) }
        .collect { column -> "${name}: the column '${column}' is not used${suggestion(column, known - header)}" }
}

// The rules of the columns: name -> type, pattern and what else the schema says
def samplesheetColumns(schema_file) {
    return new groovy.json.JsonSlurper().parse(schema_file).items.properties
}

// Columns with a path, and columns that go with the sample
def inputColumns(columns) {
    return columns.findAll { _name, rule -> rule.format in ['path', 'file-path'] }.keySet().toList()
}

def settingColumns(columns) {
    return columns.keySet().toList() - ['sample'] - inputColumns(columns)
}

def rowErrors(row, width, name, columns) {
    def place = "${name}, ${row.kind} ${row.number}"
    def sample = row.values.sample
    if (row.cells.size() > width) {
        return ["${place} has ${row.cells.size()} cells, but the header has ${width}: put quotes around cells that hold the separator."]
    }
    def errors = !sample
        ? ["${place}, column sample: the cell is empty; give the sample a name."]
        : sample in columns.sample.not['enum'] ? ["${place}, column sample: '${sample}' is the name of a folder of the run; give the sample another name."] : []
    // Paths and groups are looked at by themselves
    def wrong = (['sample'] + settingColumns(columns) - ['group'])
        .findAll { column -> row.values[column] && expectation(row.values[column], columns[column]) }
        .collect { column -> "${place}, column ${column}: '${row.values[column]}' ${columns[column].errorMessage}" }
    return errors + wrong + inputErrors(row, place, columns)
}

// A row has counts, or reads in two files
def inputErrors(row, place, columns) {
    def given = inputColumns(columns).findAll { column -> row.values[column] }
    def missing = given
        .findAll { column -> !row.paths[column] }
        .collect { column ->
            "${place}, column ${column}: '${row.values[column]}' ${missingReason(row.values[column], columns.input.errorMessage)}"
        }
    missing += given
        .findAll { column -> row.paths[column] && (row.values[column].matches('.*[\\x24{}\\p{Cntrl}].*') || row.paths[column].name.startsWith('-')) }
        .collect { column ->
            "${place}, column ${column}: '${row.values[column]}' cannot be staged, for it holds one of \$ { } or starts with '-'; rename the file or folder, or give a link to it."
        }
    if (!given) {
        def text = row.values.containsKey('input')
            ? "column input: the cell is empty; give the path of the sample's counts${row.values.containsKey('fastq_1') ? ', or its reads in fastq_1 and fastq_2' : ''}."
            : 'columns fastq_1 and fastq_2: the cells are empty; give the paths of the reads.'
        return ["${place}, ${text}"]
    }
    if ('input' in given && given.size() > 1) {
        return ["${place}: it has counts (input) and reads (${(given - 'input').join(', ')}); keep one of them."]
    }
    if (given.size() == 1 && given != ['input']) {
        def other = given == ['fastq_1'] ? 'fastq_2' : 'fastq_1'
        return missing + ["${place}, column ${other}: the cell is empty, but ${given[0]} is not; reads of 10x come in pairs, so give both files."]
    }
    def odd = (given - 'input')
        .findAll { column -> expectation(row.values[column], columns[column]) }
        .collect { column -> "${place}, column ${column}: '${row.values[column]}' ${columns[column].errorMessage}" }
    def same = row.values.fastq_1 && row.values.fastq_1 == row.values.fastq_2
        ? ["${place}: fastq_1 and fastq_2 are the same file; give read 1, which holds the barcodes, and read 2."]
        : []
    return missing + odd + same
}

// Why a path or address was not found, and what to do
def missingReason(input, otherwise) {
    if (input ==~ /(?s)(https?|ftp):.*/) {
        return 'cannot be reached; check the address and the network, or download the file and give its path.'
    }
    def plugin = input.contains('://') ? [s3: 'nf-amazon', gs: 'nf-google', az: 'nf-azure'][input.tokenize(':').first()] : null
    if (plugin) {
        return "cannot be reached; addresses of this kind need the plugin ${plugin} (-plugins ${plugin}) and access to the bucket."
    }
    if (input.startsWith('~') || input.contains('$')) {
        return 'does not exist; ~ and variables are not expanded in a samplesheet, so write the whole path.'
    }
    if (input ==~ /(?s)[A-Za-z]:\\.*/) {
        return 'is a path of Windows; write it as the machine that runs the tasks sees it, such as /mnt/c/data/s1.h5ad.'
    }
    return input ==~ /(?s).*[*?\[\]].*/ ? 'does not exist; patterns such as *.h5ad are not expanded, so give each file a row of its own.' : otherwise
}

// What is wrong among the rows of a sample: only lanes, which are rows with reads, may share a name, and no file is given twice
def sampleErrors(rows, name, columns, join) {
    def shared = rows
        .findAll { row -> row.values.sample }
        .groupBy { row -> row.values.sample }
        .findAll { _sample, same -> same.size() > 1 }
    def duplicates = shared
        .findAll { _sample, same -> same.any { row -> !row.values.fastq_1 } }
        .collect { sample, same -> "${places(same, name)}, column sample: '${sample}' is there ${same.size()} times; give each sample its own name." }
    def differing = shared.collectMany { sample, same ->
        settingColumns(columns)
            .findAll { column -> same.collect { row -> row.values[column] }.findAll().unique().size() > 1 }
            .collect { column -> "${places(same, name)}, column ${column}: the lanes of '${sample}' have different values; give one of them." }
    }
    def repeated = rows
        .collectMany { row -> ['fastq_1', 'fastq_2'].collect { column -> [row, row.values[column]] } }
        .findAll { _row, file -> file }
        .groupBy { _row, file -> file }
        .findAll { _file, same -> same.collect { row, _name -> row.number }.unique().size() > 1 }
        .collect { file, same -> "${places(same.collect { row, _name -> row }, name)}: '${file}' is there ${same.size()} times; give each file of reads once." }
    return duplicates + differing + repeated + groupErrors(rows, name, columns) + differingInGroup(rows, name, join)
}

// What a group has but once: its samples may leave it out, and must not differ
def groupSettings() {
    return ['n_clusters', 'label_col', 'counts_layer', 'cells_in']
}

// Group -> the rows of its samples, all lanes of these
def rowsOfGroups(rows, join) {
    return rows
        .findAll { row -> row.values.sample }
        .groupBy { row -> row.values.sample }
        .collectMany { _sample, lanes ->
            def group = join ? 'joined' : lanes.findResult { row -> row.values.group ?: null }
            group ? lanes.collect { row -> [group, row] } : []
        }
        .groupBy { group, _row -> group }
        .collectEntries { group, pairs -> [group, pairs.collect { _group, row -> row }] }
}

def differingInGroup(rows, name, join) {
    return rowsOfGroups(rows, join).collectMany { group, same ->
        groupSettings()
            .collect { column -> [column, same.findAll { row -> row.values[column] }] }
            .findAll { column, given -> given.collect { row -> row.values[column] }.unique().size() > 1 && given.collect { row -> row.values.sample }.unique().size() > 1 }
            .collect { column, given ->
                "${places(given, name)}, column ${column}: the samples of the group '${group}' have different values, and are clustered together; give one of them."
            }
    }
}

// Only two samples or more can be clustered together, under a name of their own
def groupErrors(rows, name, columns) {
    def names = rows.collect { row -> row.values.sample }
    def groups = rows.findAll { row -> row.values.group }.groupBy { row -> row.values.group }
    def unnamed = groups
        .findAll { group, _of_group -> expectation(group, columns.group) || group in names || group in columns.group.not['enum'] }
        .collect { group, of_group -> "${places(of_group, name)}, column group: '${group}' ${columns.group.errorMessage}" }
    def single = groups
        .findAll { _group, of_group -> of_group.collect { row -> row.values.sample }.unique().size() < 2 }
        .collect { group, of_group ->
            "${places(of_group, name)}, column group: the group '${group}' has one sample only, '${of_group[0].values.sample}'; give it another one, or leave the cell empty."
        }
    return unnamed + single
}

def places(rows, name) {
    def kind = rows.first().kind
    return "${name}, ${rows.size() > 1 ? [row: 'rows', entry: 'entries'][kind] : kind} ${rows.collect { row -> row.number }.join(' and ')}"
}

// The path of an input: as it is if absolute, otherwise beside the samplesheet or in the launch folder; null if it does not exist
def resolveInput(input, sheet) {
    if (!input) {
        return null
    }
    return candidatesOf(input, sheet).find { path -> path.exists() }
}

def candidatesOf(input, sheet) {
    try {
        return input.startsWith('/') || input.contains('://')
            ? [file(input, glob: false)]
            : [sheet.parent.resolve(input), file(input, glob: false)]
    }
    catch (Exception _error) {
        // A scheme that there is no file system for, or a character that no path can hold
        return []
    }
}

// Stops the run with the first of the messages
def stop(messages) {
    def shown = messages.take(20) + (messages.size() > 20 ? ["... and ${messages.size() - 20} more errors."] : [])
    // What a cell holds cannot end the line or move the cursor
    error(shown.collect { text -> "ERROR: ${text.replaceAll('[\\p{Cntrl}\\u0085\\u2028\\u2029]', '?')}" }.join('\n'))
}
