"""`python -m trap_agent`, where the console script is not on the path."""

from trap_agent.commands import main

main()
