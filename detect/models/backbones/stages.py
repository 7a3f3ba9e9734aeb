"""What backbones made of stages have in common."""


def outputs_of(stages, x):
    """The output of each stage, where every stage takes the one before it and the first takes `x`."""
    outputs = []
    for stage in stages:
        x = stage(x)
        outputs.append(x)
    return outputs
