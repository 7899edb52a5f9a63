/* SPDX-License-Identifier: Apache-2.0 */
/* What shim may revoke us by (SBAT.md of rhboot/shim). */
	.section .sbat, "a", @progbits
	.ascii "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md\n"
	.ascii "pykexec,1,pykexec,pykexec,1,README.md\n"
	.section .note.GNU-stack, "", @progbits
