"""The small languages that requests are written in. Text in, values out; knows neither HTTP nor tasks."""
