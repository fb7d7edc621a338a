"""Videos and pictures to data sets of face crops, by the service's own detector and crop."""
