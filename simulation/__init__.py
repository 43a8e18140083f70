"""A camera in software: scenes, sensor noise and one fixed ISP, for the demo, tests, training and benchmarks.

Nothing here is used while a photograph is restored.
"""
