"""What was published: top-1 accuracy on ImageNet's halves, means over nets from the logs released with Yosinski et al. 2014 (Figure 2)."""

BASE = 0.6251  # of 8 nets trained on one half of the classes
LAYERS = (1, 2, 3, 4, 5, 6, 7)
ACCURACY = {  # by arm, at each of LAYERS
    "BnB": (0.6267, 0.6235, 0.6211, 0.6048, 0.5935, 0.6188, 0.6232),
    "BnB+": (0.6177, 0.6215, 0.6313, 0.6287, 0.6301, 0.6277, 0.6266),
    "AnB": (0.6282, 0.6239, 0.6189, 0.5998, 0.5780, 0.5806, 0.5425),
    "AnB+": (0.6373, 0.6358, 0.6426, 0.6399, 0.6446, 0.6460, 0.6465),
}
SOURCE = "Yosinski et al. 2014, AlexNet, 8 layers; means over 1 to 8 nets, recomputed from the released logs"
