"""Entry point of the console script and of ``python -m autocompress``.

Children of a search import this module again, so it stays empty of imports.
"""


def main() -> None:
    """Run the command line."""
    from autocompress.cli.app import run

    run()


if __name__ == "__main__":
    main()
