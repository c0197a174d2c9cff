"""Draw annotated shapes as planes, by the rules of the tool that a data set is scored with."""
