"""`python -m plugin_core.cli` is `neural-isp`."""

from plugin_core.cli.main import main

if __name__ == "__main__":
    main()
