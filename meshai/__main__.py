"""`python -m meshai` is the command line."""

from meshai.cli import main

main(prog_name="meshai")
