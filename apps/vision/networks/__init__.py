"""The models that look at whole frames, opened by path: the detector, the classifier before it, and several of one side by side."""
