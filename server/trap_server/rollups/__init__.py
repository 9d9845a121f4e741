"""Hours and trap-nights: kept beside the windows, exact at any moment, and there when the windows are gone."""
