// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {G1Point, G2Point} from "../lib/BN254.sol";

/// @title Certificates of availability
/// @notice Two thirds of an epoch's weight signed that they hold their rows of every blob of a batch: one transaction, however many blobs.
/// `absent` lists the members that did not sign: their indices in the epoch, ascending, two bytes each, big endian.
interface IDACertificates {
    /// One BLS signature of all that signed.
    struct AggregateSignature {
        G1Point signature;
        /// Sum of the signers' keys in G2; that it belongs to their keys in G1 is checked.
        G2Point key;
        /// Hint of the digest's hash to the curve: the counter, and the smaller root y.
        uint8 counter;
        uint256 y;
    }

    event BatchCertified(bytes32 indexed batchRoot, uint64 indexed epoch, uint96 signed, uint96 total, bytes absent);

    error AlreadyCertified(bytes32 batchRoot);
    /// Certificates are made in the current epoch, or in the one before it, while less than four times the length of an epoch passed since it began.
    error EpochClosed(uint64 epoch);
    /// Not a multiple of two bytes, not ascending, or beyond the last member.
    error InvalidAbsent();
    error NotEnoughWeight(uint256 signed, uint256 total);
    error InvalidHint();
    error InvalidSignature();
    /// A signature of the list is not that of the member whose turn it is.
    error WrongSigner(uint256 index, address recovered);

    /// @notice Certifies a batch by one aggregate BLS signature. Anyone. Reverts AlreadyCertified, EpochClosed, InvalidAbsent, NotEnoughWeight,
    /// InvalidHint, InvalidSignature.
    function certify(
        bytes32 batchRoot,
        uint64 epoch,
        bytes calldata absent,
        AggregateSignature calldata aggregate
    ) external;
    /// @notice Certifies a batch by one ECDSA signature (r, s, v: 65 bytes) over `digest` of each member that is not absent, in order: cheaper for few.
    /// Anyone. Reverts as `certify`, and WrongSigner.
    function certifyBySignatures(
        bytes32 batchRoot,
        uint64 epoch,
        bytes calldata absent,
        bytes calldata signatures
    ) external;

    /// @notice What members sign: keccak256(abi.encode(keccak256("DACert v1"), chain id, this contract, epoch, batchRoot)).
    function digest(uint64 epoch, bytes32 batchRoot) external view returns (bytes32);
    /// @notice Epoch and time of a certificate; zeros if there is none.
    function certificateOf(bytes32 batchRoot) external view returns (uint64 epoch, uint64 certifiedAt);
    /// @notice Whether the batch is certified and the blob is its leaf `index`.
    function isAvailable(
        bytes32 blobId,
        bytes32 batchRoot,
        uint256 index,
        bytes32[] calldata proof
    ) external view returns (bool);
    /// @notice When the batch was certified, and the account of member `index` of that epoch, if it must hold `row` of a blob; zeros where not. That the blob
    /// is in the batch is not looked at. Reverts InvalidCode.
    function holderOf(
        bytes32 batchRoot,
        uint256 index,
        bytes32 blobId,
        uint8 log2K,
        uint32 row
    ) external view returns (uint64 certifiedAt, address account);
    /// @notice Whether the batch is certified, and `absent` is what its certificate listed. A member of the epoch that is not in the list signed.
    function isAbsentList(bytes32 batchRoot, bytes calldata absent) external view returns (bool);
}
