# SPDX-License-Identifier: Apache-2.0
"""Pictures that networks learn from: read, cropped, and augmented one by one."""
