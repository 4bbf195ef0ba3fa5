"""Recipe to bootable guest: a kernel and one initramfs, made of distribution packages or of the user's own files."""
