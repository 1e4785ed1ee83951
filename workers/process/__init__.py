"""What every process needs: limits, logs, beats."""
