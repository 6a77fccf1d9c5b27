//
// Parameters against nextflow_schema.json: their help, and what is wrong with those that were given
//

// The parameters in the schema's order: name -> its description, with the title of its group and whether it is required
def schemaParameters(schema_file) {
    def schema = new groovy.json.JsonSlurper().parse(schema_file)
    return schema.allOf
        .collect { reference -> schema['$defs'][reference['$ref'].tokenize('/').last()] }
        .collectMany { group ->
            group.properties.collect { name, description ->
                [name, description + [group: group.title, required: name in (group.required ?: [])]]
            }
        }
        .collectEntries()
}

// The parameters by the types of the schema: from Nextflow 26 on all that the command line gives are texts, `--skip_qc false` too
def typedParameters(given, schema_parameters) {
    return given.collectEntries { name, value -> [name, typed(value, [schema_parameters[name]?.type].flatten())] }
}

def typed(value, types) {
    def text = value.toString()
    if (value !instanceof CharSequence) {
        return value
    }
    if ('boolean' in types && text in ['true', 'false']) {
        return text == 'true'
    }
    if ('string' in types) {
        return text
    }
    return 'integer' in types && text.matches(/[+-]?\d{1,18}/) ? text.toLong() : 'number' in types && text.isNumber() ? text.toBigDecimal() : text
}

// Sentences, each about one parameter that cannot be used as given
def parameterErrors(given, schema_parameters) {
    def names = schema_parameters.keySet()
    def unknown = given.keySet()
        .findAll { name -> !(name in names) }
        .collect { name -> "Unknown parameter --${name}${suggestion(name, names, '--') ?: ':'} 'nextflow run . --help' lists all of them." }
    def wrong = given
        .findAll { name, value -> name in names && value != null }
        .collect { name, value -> valueError(name, value, schema_parameters[name]) }
        .findAll()
    def missing = schema_parameters
        .findAll { name, description -> description.required && given[name] == null }
        .collect { name, description -> "Parameter --${name} is missing: ${startLower(description.description)}" }
    return unknown + wrong + missing
}

// What is wrong with a value, as a sentence; null if nothing is
def valueError(name, value, description) {
    // A name with nothing after it is true, which before Nextflow 26 is no text
    if ((value instanceof Boolean || value.toString() == 'true') && !('boolean' in [description.type].flatten())) {
        return value == false && description['enum']?.contains('off')
            ? "Parameter --${name} is false, as which YAML reads a plain off: put quotes around it, 'off'."
            : "Parameter --${name} needs a value: ${startLower(description.description)}"
    }
    def expected = expectation(value, description)
    return expected ? "Parameter --${name} must be ${expected}, not '${value}'." : null
}

// What a value should have been; null if it is that
def expectation(value, description) {
    def types = [description.type].flatten()
    def fits = [
        boolean: value.toString() in ['true', 'false'],
        integer: "${value}".matches(/[+-]?\d+/),
        number: "${value}".isNumber(),
        string: true,
    ]
    if (!types.any { type -> fits[type] }) {
        return [boolean: 'true or false', integer: 'a whole number', number: 'a number'][types.first()]
    }
    if (description['enum'] && !(value.toString() in description['enum'])) {
        return "one of ${description['enum'].join(', ')}"
    }
    if (description.pattern && !("${value}" =~ description.pattern)) {
        return description.errorMessage ?: "of the form ${description.pattern}"
    }
    if (!('string' in types) && description.minimum != null && "${value}".toBigDecimal() < description.minimum) {
        return "at least ${description.minimum}"
    }
    if (!('string' in types) && description.maximum != null && "${value}".toBigDecimal() > description.maximum) {
        return "at most ${description.maximum}"
    }
    return null
}

// The help of all parameters, grouped; or of one, in full
def parameterHelp(schema_parameters, defaults, name = null) {
    if (name != null) {
        def description = schema_parameters[name]
        if (!description) {
            return "There is no parameter --${name}${suggestion(name, schema_parameters.keySet(), '--') ?: '.'}\n"
        }
        return "--${name} ${valueHint(description)}\n\n" + wrapped(description.description, 4) + '\n' +
            (description.help_text ? '\n' + wrapped(description.help_text, 4) + '\n' : '') +
            (defaults[name] != null ? "\n    default: ${defaults[name]}\n" : '')
    }
    def shown = schema_parameters.findAll { _name, description -> !description.hidden }
    // Longer names and hints have a line of their own
    def width = 28
    return shown
        .groupBy { _name, description -> description.group }
        .collect { group, parameters ->
            "${group}\n" + parameters
                .collect { key, description ->
                    def hint = valueHint(description)
                    def choices = hint.size() > 48 ? " One of ${description['enum'].join(', ')}." : ''
                    def start = "  --${key} ${choices ? '<name>' : hint}"
                    def default_value = defaults[key] != null && defaults[key] != false ? " [default: ${defaults[key]}]" : ''
                    def text = wrapped(description.description + choices + default_value, width + 2)
                    start.size() > width ? "${start}\n${text}\n" : start.padRight(width + 2) + text.trim() + '\n'
                }
                .join('')
        }
        .join('\n')
}

// What follows a parameter's name on the command line
def valueHint(description) {
    def types = [description.type].flatten()
    if (description['enum']) {
        return "<${description['enum'].join('|')}>"
    }
    if ('boolean' in types) {
        return 'string' in types ? '[NAME]' : ''
    }
    def hints = ['file-path': 'file', 'directory-path': 'folder', string: 'text', integer: 'N', number: 'x']
    return "<${hints[description.format] ?: hints[types.first()]}>"
}

// Text in lines of at most 80 characters, each after `indent` blanks
def wrapped(text, indent) {
    return text.tokenize()
        .inject(['']) { lines, word ->
            indent + lines.last().size() + word.size() < 80
                ? lines.init() + ["${lines.last()} ${word}".trim().toString()]
                : lines + [word]
        }
        .collect { line -> ' ' * indent + line }
        .join('\n')
}

// ': did you mean X?' for the name that is nearest to a wrong one, or nothing if none is near
def suggestion(wrong, names, prefix = '') {
    // Nextflow turns --n-genes into nGenes.
    def snake_case = wrong.toString().replaceAll(/([A-Z])/, '_$1').toLowerCase().replace('-', '_')
    def nearest = names.min { name -> editDistance(snake_case, name) }
    return nearest && editDistance(snake_case, nearest) <= Math.max(2, nearest.size().intdiv(3)) ? ": did you mean ${prefix}${nearest}?" : ''
}

// Least number of letters to insert, delete or replace to get from one word to another (Levenshtein)
def editDistance(from, to) {
    return from.toList().inject((0..to.size()).toList()) { row, letter ->
        to.toList().withIndex().inject([row[0] + 1]) { next, item ->
            def (other, i) = item
            next + [[next.last() + 1, row[i + 1] + 1, row[i] + (letter == other ? 0 : 1)].min()]
        }
    }.last()
}

def startLower(text) {
    return text.take(1).toLowerCase() + text.drop(1)
}
