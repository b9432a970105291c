"""Links to devices: run a command, carry a file. ADB, SSH."""
