"""Send GraphQL documents to a running lamDB and print the answers, folded to fit a page.

python examples/debian-archive/ask.py examples/debian-archive/queries/*.graphql
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from client import Client, ServerError

WIDTH = 128
app = typer.Typer(add_completion=False)


def folded(value: Any, indent: str = "", before: int = 0) -> str:
    """JSON, with everything on one line that fits there. `before`: columns that the line has already."""
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + before + len(line) <= WIDTH or not isinstance(value, dict | list) or not value:
        return line
    deeper = indent + "  "
    if isinstance(value, list):
        parts = [deeper + folded(item, deeper) for item in value]
        return "[\n" + ",\n".join(parts) + f"\n{indent}]"
    parts = [
        f"{deeper}{json.dumps(key)}: {folded(item, deeper, len(key) + 4)}" for key, item in value.items()
    ]
    return "{\n" + ",\n".join(parts) + f"\n{indent}}}"


@app.command()
def main(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, help="GraphQL documents.")],
    url: Annotated[
        str, typer.Option(help="The server's GraphQL endpoint.")
    ] = "http://127.0.0.1:8000/graphql",
) -> None:
    """Send GraphQL documents to a running lamDB and print the answers."""
    client = Client(url)
    try:
        for file in files:
            started = time.perf_counter()
            data = client.execute(file.read_text())
            milliseconds = (time.perf_counter() - started) * 1000
            typer.echo(folded(data))
            typer.echo(f"{file.stem}: {milliseconds:.0f} ms", err=True)
    except ServerError as error:
        typer.echo(f"No answer: {error}", err=True)
        raise typer.Exit(1) from error
    finally:
        client.close()


if __name__ == "__main__":
    app()
