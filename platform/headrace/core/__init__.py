"""What every room may use: names, time, errors, and the base of all declarations."""
