"""The verb choose: every selector against the best network, for tasks, devices and budgets."""

from hwsearch.choice.answers import Answer, answers, write_answers
from hwsearch.choice.gather import gather
from hwsearch.choice.options import ChooseOptions
from hwsearch.choice.page import choice_page
from hwsearch.choice.pools import open_pools
from hwsearch.choice.selectors import Networks
from hwsearch.choice.show import draw_answers, show_answers
from hwsearch.choice.targets import conditions_of
from hwsearch.config import check_config, write_config
from hwsearch.evaluate.named import fingerprints_of
from hwsearch.journal import write_atomic
from hwsearch.latency.table import Table, find_table
from hwsearch.progress import say
from hwsearch.report.page import can_draw_page

__all__ = ["ChooseOptions", "choose"]

CONFIG, PAGE = "config.toml", "choices.html"


def choose(options: ChooseOptions) -> tuple[Answer, ...]:
    """Judges networks on every task and lets every selector choose among them.

    Writes journals, choices.csv, choices.png, choices.html and config.toml; what was stopped goes
    on, and what was judged is not judged again.

    Raises:
        HwsearchError: If something is missing or does not fit, or the folder holds answers of
            other networks or images, or the config file of another command.
    """
    check_config(options.out / CONFIG, options)
    tables = tuple(Table.read(find_table(name, options.tables_dir)) for name in options.tables)
    fingerprints_of(options.named_tasks)  # "best elsewhere" must not see a task's own labels
    pools = open_pools(options, tables)
    conditions = conditions_of(
        tables, pools, budgets_ms=options.budgets_ms, budgets=options.budgets
    )
    options.out.mkdir(parents=True, exist_ok=True)
    write_config(options.out / CONFIG, options, ("torch", "numpy", "scipy", "scikit-learn"))
    told = [gather(options, task, pools) for task in options.named_tasks]
    networks = Networks.of(pools)
    found = answers(
        told, conditions, networks, options.judge, draws=options.draws, seed=options.seed
    )
    show_answers(found)
    tasks = f"{len(told)} task{'s' * (len(told) > 1)}"
    title = f"{len(networks.names)} networks, {tasks}, judged by {options.judge}"
    files = [write_answers(found, options.out), draw_answers(found, title, options.out)]
    if can_draw_page():
        write_atomic(options.out / PAGE, choice_page(found, title))
        files.append(options.out / PAGE)
    else:
        say("For the interactive page, install plotly: pip install 'hwsearch[html]'")
    say(f"All of it in {options.out}: {', '.join(file.name for file in files)}")
    return found
