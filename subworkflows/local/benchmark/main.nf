//
// The accuracy benchmark: every data set x method x seed, then tables and figures
//

include { BENCHMARK_PLAN   } from '../../../modules/local/benchmark/plan'
include { BENCHMARK_RUN    } from '../../../modules/local/benchmark/run'
include { BENCHMARK_REPORT } from '../../../modules/local/benchmark/report'

workflow BENCHMARK {
    take:
    folder // path: h5ad files with the known cell types in obs["cell_type"]
    programs // path: TOML file that says where programs of others are; [] without

    main:
    // What is to be run, one row for each task; `code` tells a task that has to be run anew from one that is done
    BENCHMARK_PLAN(folder, programs)

    ch_tasks = BENCHMARK_PLAN.out.plan
        .splitCsv(header: true, sep: '\t')
        .map { row -> [row + [id: taskName(row)], folder.resolve("${row.dataset}.h5ad")] }

    BENCHMARK_RUN(ch_tasks)

    BENCHMARK_REPORT(
        BENCHMARK_RUN.out.table.map { _meta, table -> table }.toSortedList { a, b -> a.name <=> b.name },
        BENCHMARK_PLAN.out.plan,
        BENCHMARK_PLAN.out.left_out,
    )

    html = BENCHMARK_REPORT.out.html
    results = BENCHMARK_REPORT.out.results

    emit:
    html // channel: path(html)
    results // channel: path(tsv)
}

// Such as deng.cicl.given.0, or deng.cicl.given.0.epochs for a study; the name of the task's files
def taskName(row) {
    def study = row.setting.tokenize('=')[0]
    return [row.dataset, row.methods, row.tracks, row.seeds, study].findAll().join('.').replaceAll(',', '_')
}
