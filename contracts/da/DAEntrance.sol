// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {G1Point} from "../lib/BN254.sol";
import {BatchTree} from "./BatchTree.sol";
import {Blob} from "./Blob.sol";
import {BlobIds} from "./BlobIds.sol";
import {IDACertificates} from "./IDACertificates.sol";
import {IDAEntrance} from "./IDAEntrance.sol";
import {IDAEpochs} from "./IDAEpochs.sol";
import {ISamplingRewards} from "./ISamplingRewards.sol";

/// @title The entrance that contracts and clients of the public network know
/// @notice Immutable, and holds no money.
contract DAEntrance is IDAEntrance {
    uint256 private constant QUORUM = 0;
    uint256 private constant PRICE = 0;

    address public immutable dataAvailability;
    ISamplingRewards public immutable rewards;

    mapping(bytes32 blobId => mapping(uint256 epoch => G1Point)) private _commitments;

    /// @param dataAvailability_ certifies batches
    /// @param rewards_ gets what is sent along with announcements
    constructor(address dataAvailability_, address rewards_) {
        dataAvailability = dataAvailability_;
        rewards = ISamplingRewards(rewards_);
    }

    /// @inheritdoc IDAEntrance
    function submitOriginalData(bytes32[] calldata dataRoots) external payable {
        uint256 epoch = currentEpoch();
        for (uint256 i = 0; i < dataRoots.length; ++i) emit DataUpload(msg.sender, dataRoots[i], epoch, QUORUM, PRICE);
        if (msg.value != 0) rewards.fund{value: msg.value}();
    }

    /// @inheritdoc IDAEntrance
    function submitVerifiedCommitRoots(CommitRootSubmission[] calldata submissions) external view {
        for (uint256 i = 0; i < submissions.length; ++i) {
            CommitRootSubmission calldata $ = submissions[i];
            require(
                commitmentExists($.dataRoot, $.epoch, $.quorumId),
                NotMaterialised($.dataRoot, $.epoch, $.quorumId)
            );
        }
    }

    /// @inheritdoc IDAEntrance
    function materialise(Blob calldata blob, bytes32 batchRoot, uint256 index, bytes32[] calldata proof) external {
        (uint64 epoch, uint64 certifiedAt) = IDACertificates(dataAvailability).certificateOf(batchRoot);
        require(certifiedAt != 0, NotCertified(batchRoot));
        bytes32 blobId = BlobIds.idOf(blob);
        require(BlobIds.isValid(blob) && BatchTree.verify(batchRoot, blobId, index, proof), NotInBatch(blobId));
        if (commitmentExists(blobId, epoch, QUORUM)) return;
        _commitments[blobId][epoch] = G1Point({x: uint256(blob.rowRoot), y: uint256(blob.rlcRoot)});
        emit ErasureCommitmentVerified(blobId, epoch, QUORUM);
    }

    /// @inheritdoc IDAEntrance
    function commitmentExists(bytes32 dataRoot, uint256 epoch, uint256 quorumId) public view returns (bool) {
        G1Point memory commitment = verifiedErasureCommitment(dataRoot, epoch, quorumId);
        return commitment.x != 0;
    }

    /// @inheritdoc IDAEntrance
    function verifiedErasureCommitment(
        bytes32 dataRoot,
        uint256 epoch,
        uint256 quorumId
    ) public view returns (G1Point memory commitment) {
        if (quorumId == QUORUM) commitment = _commitments[dataRoot][epoch];
    }

    /// @inheritdoc IDAEntrance
    function currentEpoch() public view returns (uint256) {
        return IDAEpochs(dataAvailability).currentEpoch();
    }

    /// @inheritdoc IDAEntrance
    function blobPrice() external pure returns (uint256) {
        return PRICE;
    }
}
