"""When what is evaluated, by which process, and the maintenance that runs beside it."""
