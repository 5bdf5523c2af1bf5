"""Assessments, notifications and their delivery, with time and chance under control."""
