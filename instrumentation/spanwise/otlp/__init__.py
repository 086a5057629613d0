"""OTLP as spanwise writes and reads it: records, JSON and protobuf."""
