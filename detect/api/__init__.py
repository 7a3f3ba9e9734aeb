"""What programs call, and what the command line calls: a module for each errand.

`import detect` offers the functions themselves: `detect.load`, `detect.train`, ...
"""
