"""`python -m evonas`: the command line of the Python that runs it, as jobs with packages of their own need it."""

from evonas.cli import main

if __name__ == "__main__":
    main()
