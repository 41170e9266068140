"""From ``params.yaml`` to a plan: read, merge, check, select, forecast. Loads nothing heavy."""
