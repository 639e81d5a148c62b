# Copyright (c) skel_ssl contributors. Licensed under the Apache License 2.0.
"""Methods x data sets x seeds: a suite of runs, its records, its tables."""
