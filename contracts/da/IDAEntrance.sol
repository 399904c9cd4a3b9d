// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {G1Point, G2Point} from "../lib/BN254.sol";
import {Blob} from "./Blob.sol";

/// @title The entrance that contracts and clients of the public network know
/// @notice The functions and events of theirs that have a meaning here. A data root is the id of a blob, its erasure commitment the pair of its row root
/// and rlc root, and all rows of an epoch are one quorum, number 0.
interface IDAEntrance {
    struct CommitRootSubmission {
        bytes32 dataRoot;
        uint256 epoch;
        uint256 quorumId;
        G1Point erasureCommitment;
        bytes quorumBitmap;
        G2Point aggPkG2;
        G1Point signature;
    }

    event DataUpload(address sender, bytes32 dataRoot, uint256 epoch, uint256 quorumId, uint256 blobPrice);
    event ErasureCommitmentVerified(bytes32 dataRoot, uint256 epoch, uint256 quorumId);

    error NotCertified(bytes32 batchRoot);
    /// Also where no blob can have that shape.
    error NotInBatch(bytes32 blobId);
    /// Signatures of the public network prove nothing here: whoever needs the commitment on chain calls `materialise`.
    error NotMaterialised(bytes32 dataRoot, uint256 epoch, uint256 quorumId);

    /// @notice Announces data; what is sent along rewards signers. It is neither needed for a blob to be certified nor proves anything.
    function submitOriginalData(bytes32[] calldata dataRoots) external payable;
    /// @notice Changes nothing, as there it does for commitments that are known already. Reverts NotMaterialised if one is not.
    function submitVerifiedCommitRoots(CommitRootSubmission[] calldata submissions) external view;
    /// @notice Stores the commitment of a blob that is in a certified batch, once. Anyone. Reverts NotCertified, NotInBatch.
    function materialise(Blob calldata blob, bytes32 batchRoot, uint256 index, bytes32[] calldata proof) external;

    /// @notice Whether it was shown here that the blob is in a batch certified in `epoch`.
    function commitmentExists(bytes32 dataRoot, uint256 epoch, uint256 quorumId) external view returns (bool);
    /// @notice Row root and rlc root of such a blob; zeros otherwise.
    function verifiedErasureCommitment(
        bytes32 dataRoot,
        uint256 epoch,
        uint256 quorumId
    ) external view returns (G1Point memory);
    function currentEpoch() external view returns (uint256);
    /// @notice Announcing costs nothing: who stores and certifies is paid in BlobPayments.
    function blobPrice() external view returns (uint256);
}
