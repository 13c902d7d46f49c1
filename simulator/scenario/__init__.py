"""What is to be simulated: the plan as data (`plan`), read from a TOML file (`reading`), its places (`shapes`, `maps`).

Nothing here knows time or air: `simulator.world` brings a plan to life.
"""
