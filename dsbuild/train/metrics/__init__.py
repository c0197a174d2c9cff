"""What predictions are held against: counts of classes, contours, mattes; and their report."""
