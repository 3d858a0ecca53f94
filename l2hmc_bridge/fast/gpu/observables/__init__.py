"""What is measured on fields with their numbers apart (planar.py): `kernels` in Triton, `totals`
are the sums over sites that they leave.
"""
