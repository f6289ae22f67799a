"""Poses of people: COCO's 17 points, the models that find them, and what a posture is in measures of the body."""
