"""Views of drift: series of subjects, one subject in detail, and the findings in force."""
