"""What is done about access beside the commands: locks of objects, and approvals that wait."""
