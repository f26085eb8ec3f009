"""The bench's table on the terminal."""

from typing import Any

from rich.console import Console
from rich.table import Table


def show(report: dict[str, Any]) -> None:
    """Print the machine, then a line per measurement."""
    out = Console(highlight=False)
    machine = report["machine"]
    out.print(
        f"\n{machine['before']['cores']} cores, Python {machine['before']['python']}, load before"
        f" {machine['before']['load']}, after {machine['after']['load']}"
    )
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in ("what", "clients", "per second", "p50 ms", "p95 ms", "p99 ms", "failures"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    results = report["results"]
    for name, row in results.items():
        if isinstance(row, dict) and "clients" in row:
            table.add_row(
                name.replace("_", " "),
                str(row["clients"]),
                f"{row['per_second']:.1f}",
                *(f"{row[key]:.1f}" for key in ("p50_ms", "p95_ms", "p99_ms")),
                str(row["failures"]),
            )
    out.print(table)
    confirmed = results["confirmed"]
    for title, rate, row in (
        (
            f"orders confirmed, {confirmed['in_flight']} in flight",
            confirmed["per_second"],
            confirmed["at_saturation"],
        ),
        (
            f"… of a burst of {confirmed['burst']['placed']}",
            confirmed["burst"]["per_second"],
            confirmed["burst"],
        ),
        ("… at half that rate", confirmed["at_half"]["per_second"], confirmed["at_half"]),
    ):
        out.print(
            f"{title}: {rate:.1f} per second, placement to confirmed"
            f" p50 {row['p50_ms']:.0f} ms, p95 {row['p95_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms"
        )
    for name in ("order_place_8", "floor_statements_8", "floor_as_one_8", "confirmed"):
        used = ", ".join(f"{part} {ms:.2f}" for part, ms in results[name]["cpu_ms"].items())
        out.print(f"CPU ms per order, {name.replace('_', ' ')}: {used}")
    out.print(
        f"placing is {results['order_place_to_floor']:.2f} of FastAPI a statement at a time,"
        f" {results['order_place_to_floor_as_one']:.2f} of FastAPI with one statement,"
        f" {results['order_place_to_raw_sql']:.2f} of the same rows as plain SQL (8 clients each)"
    )
    cold, cloud = report["import_function_app"], report["local_cloud"]
    out.print(
        f"import of function_app: median {cold['median_s']:.2f} s,"
        f" fastest {cold['fastest_s']:.2f} s"
    )
    out.print(
        f"local cloud: started in {cloud['started_s']} s; idle {cloud['memory_mib']:.0f} MiB"
        f" ({cloud['resident_mib']:.0f} with shared pages counted for each process),"
        f" {100 * cloud['cores']:.1f} % of a core"
    )
    _show_parts(out, report)


def _show_parts(out: Console, report: dict[str, Any]) -> None:
    """The local cloud's parts by themselves."""
    path = report["http_path"]
    costs = ", ".join(f"{name} {cost:.0f}" for name, cost in path["cpu_us"].items())
    out.print(
        f"CPU µs of a trivial request: {costs}; the Functions host takes"
        f" {path['functions_to']['fastapi']:.2f} of FastAPI,"
        f" {path['functions_to']['starlette']:.2f} of Starlette"
    )
    for name, row in report["broker"].items():
        out.print(
            f"broker, {name.replace('_', ' ')}: {row['per_second']:.0f} messages of 1 KB per"
            f" second, {row['cpu_us']:.0f} µs of CPU each"
        )
    runs = ", ".join(f"{seconds:.2f}" for seconds in report["fan_out_1000_s"])
    out.print(f"orchestration with 1,000 activities at once: {runs} s")
    for name, row in report["live"].items():
        out.print(
            f"order {name.removeprefix('to_')} to known in the customer's browser:"
            f" p50 {row['p50_ms']:.0f} ms, p95 {row['p95_ms']:.0f} ms, p99 {row['p99_ms']:.0f} ms"
        )
    live = report["notifier"]
    told, everyone = live["directed"], live["broadcast"]
    out.print(
        f"notifier with {live['clients']} clients, {live['streams']} of them event streams:"
        f" {live['after']['memory_mib']:.0f} MiB, {100 * live['idle']['cores']:.1f} % of a core"
        f" idle; published to received p50 {told['p50_ms']:.1f} ms, p95 {told['p95_ms']:.1f} ms,"
        f" p99 {told['p99_ms']:.1f} ms; a message to all of them {everyone['to_all_median_ms']:.0f}"
        f" ms, at worst {everyone['to_all_slowest_ms']:.0f} ms"
    )
    for name in ("product_get", "product_list"):
        row = report["gateway"][name]
        out.print(
            f"the gateway adds to {name.replace('_', ' ')}: p50 {row['adds_p50_ms']:.1f} ms to"
            f" {row['straight']['p50_ms']:.1f}, p95 {row['adds_p95_ms']:.1f} ms to"
            f" {row['straight']['p95_ms']:.1f}; {report['gateway']['cpu_ms_per_request']:.2f} ms"
            " of its CPU"
        )
    _show_audit(out, report["audit"])


def _show_audit(out: Console, audit: dict[str, Any]) -> None:
    records, verifies = audit["records"], audit["verifies"]
    out.print(
        f"audit trail: {records['per_second']:.0f} durable entries per second, the events of"
        f" {records['orders_per_second']:.0f} orders, p95 {records['p95_ms']:.1f} ms;"
        f" {verifies['entries']:,} entries verified in {verifies['seconds']:.1f} s,"
        f" {verifies['cpu_us']:.0f} µs of CPU each"
    )
