"""What loads the guest: fio job files, and what fio says when it is done."""
