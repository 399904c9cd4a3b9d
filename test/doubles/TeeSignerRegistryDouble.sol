// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// Says of signers what it was told, as the registry does of those whose quotes it verified.
contract TeeSignerRegistryDouble {
    mapping(address signer => uint64 until) public attestedUntil;

    function attest(address signer, uint64 until) external {
        attestedUntil[signer] = until;
    }

    function revoke(address signer) external {
        attestedUntil[signer] = 0;
    }
}
