"""How pictures are read: files in any mode and orientation, DICOM, and folders of classes."""
