# SPDX-License-Identifier: Apache-2.0
"""What every benchmark area needs: servers, clients, comparisons in one run, reports."""
