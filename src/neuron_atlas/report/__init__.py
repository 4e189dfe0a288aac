"""Stage `report`: metrics, plots and pages."""
