"""The pages: frames rendered here in the reader's language, filled by the scripts in `static/js` from the API."""
